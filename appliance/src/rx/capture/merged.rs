//! Several captures as one, by time.

use std::path::Path;

use super::{Capture, CaptureError, CapturedFrame};

/// Captures merged by their frames' times; file *n* is port *n*.
///
/// Of equal times the earlier file's comes first. The order within a file is kept even where its stamps go back.
#[derive(Debug)]
pub struct Merged {
    sources: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    capture: Capture,
    /// Its frame was given, or none was read yet: moved on when the next one is asked for, so that a given frame stays.
    given: bool,
    /// Time of the frame that it stands at.
    head_ns: Option<u64>,
}

impl Source {
    fn advance(&mut self) -> Result<(), CaptureError> {
        self.given = false;
        self.head_ns = None;
        if self.capture.advance()? {
            self.head_ns = self.capture.current().map(|frame| frame.time_ns);
        }
        Ok(())
    }
}

impl Merged {
    /// Opens all files.
    pub fn open<P: AsRef<Path>>(files: &[P]) -> Result<Self, CaptureError> {
        Ok(Self::of(files.iter().map(|file| Capture::open(file.as_ref())).collect::<Result<_, _>>()?))
    }

    /// Captures that are open already.
    pub fn of(captures: Vec<Capture>) -> Self {
        Self { sources: captures.into_iter().map(|capture| Source { capture, given: true, head_ns: None }).collect() }
    }

    /// The next frame and its port; `None` at the end. After a file's error the other files' frames go on.
    pub fn next_frame(&mut self) -> Result<Option<(u16, CapturedFrame<'_>)>, CaptureError> {
        for source in self.sources.iter_mut().filter(|source| source.given) {
            source.advance()?;
        }
        let heads = self.sources.iter().enumerate().filter_map(|(port, source)| Some((source.head_ns?, port)));
        let Some((_, port)) = heads.min() else { return Ok(None) };
        let Some(source) = self.sources.get_mut(port) else { return Ok(None) };
        source.given = true;
        Ok(source.capture.current().map(|frame| (u16::try_from(port).unwrap_or(u16::MAX), frame)))
    }

    /// What was odd in each file without being an error. Known at the end.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|source| source.capture.warning())
    }

    /// Frames given so far, of all files.
    pub fn frames(&self) -> u64 {
        let unread = |source: &&Source| source.head_ns.is_some() && !source.given;
        self.sources.iter().map(|source| source.capture.frames()).sum::<u64>() - self.sources.iter().filter(unread).count() as u64
    }

    /// Bytes read so far, and of all files where all are regular ones.
    pub fn progress_bytes(&self) -> (u64, Option<u64>) {
        let each = || self.sources.iter().map(|source| source.capture.progress_bytes());
        (each().map(|(read, _)| read).sum(), each().map(|(_, total)| total).sum())
    }
}
