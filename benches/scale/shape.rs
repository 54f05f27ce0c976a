//! How traffic is spread over ranges and queues.

use tailwater::arch::hash::spread;

use super::support::Chances;

pub(crate) const RANGES: usize = 10_000;
/// Ranges of a /20.
const BOMBED: usize = 16;

/// See the module.
pub(crate) struct Crowd {
    chances: Chances,
    of_range: Vec<f64>,
    /// Of all packets, those that RSS leaves in one queue.
    one_queue: f64,
}

impl Crowd {
    /// Of a shape that `plan` measures, or of one that RSS cannot spread.
    pub(crate) fn of(name: &str) -> Self {
        let even = 1.0 / RANGES as f64;
        let mut weights = vec![even; RANGES];
        match name {
            "peace" | "zipf" => weights.iter_mut().enumerate().for_each(|(at, weight)| *weight = 1.0 / (at + 1) as f64),
            "one-range" | "one-tunnel" => weights[RANGES / 2] = 9.0,
            "carpet" => weights[RANGES / 2..RANGES / 2 + BOMBED].fill(9.0 / BOMBED as f64),
            _ => {}
        }
        let sum: f64 = weights.iter().sum();
        let of_range = weights.iter().map(|weight| weight / sum).collect();
        Self { chances: Chances::new(&weights), of_range, one_queue: if name == "one-tunnel" { 0.9 } else { 0.0 } }
    }

    pub(crate) const fn ranges(&self) -> usize {
        self.of_range.len()
    }

    /// The range of the n-th packet.
    pub(crate) fn pick(&self, n: u64) -> usize {
        self.chances.pick(spread(n)) as usize
    }

    pub(crate) fn chance(&self, range: usize) -> f64 {
        self.of_range[range]
    }

    /// Of all packets, those that come to a queue.
    pub(crate) fn share_of_queue(&self, queue: usize, queues: usize) -> f64 {
        (1.0 - self.one_queue) / queues as f64 + if queue == 0 { self.one_queue } else { 0.0 }
    }
}
