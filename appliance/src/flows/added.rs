//! What enrichment adds to a flow. Texts are shared: adding one counts a reference, it copies nothing.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A text of a table, or none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(Option<Arc<str>>);

impl Text {
    /// None.
    pub const NONE: Self = Self(None);
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self((!text.is_empty()).then(|| text.into()))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Which address is not the customer's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Remote {
    /// Both are, or none.
    #[default]
    Neither = 0,
    /// The source.
    Src = 1,
    /// The destination.
    Dst = 2,
}

/// Names and meanings are those of `proto/flowpb/flow.proto`. Zero and no text are "not known".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "flow.proto documents each under the same name")]
pub struct Added {
    pub cid: u32,
    pub src_cid: u32,
    pub dst_cid: u32,
    pub src_if_speed: u32,
    pub dst_if_speed: u32,
    pub record_sampling: u32,
    pub normalized: bool,
    pub remote: Remote,
    pub src_if_name: Text,
    pub src_if_desc: Text,
    pub dst_if_name: Text,
    pub dst_if_desc: Text,
    pub proto_name: Text,
    pub remote_country: Text,
    pub src_country: Text,
    pub dst_country: Text,
    pub note: Text,
    pub stream: Text,
    pub customer: Text,
    pub src_customer: Text,
    pub dst_customer: Text,
    pub src_as_name: Text,
    pub dst_as_name: Text,
}

impl Added {
    /// Nothing.
    pub const NONE: Self = Self {
        cid: 0,
        src_cid: 0,
        dst_cid: 0,
        src_if_speed: 0,
        dst_if_speed: 0,
        record_sampling: 0,
        normalized: false,
        remote: Remote::Neither,
        src_if_name: Text::NONE,
        src_if_desc: Text::NONE,
        dst_if_name: Text::NONE,
        dst_if_desc: Text::NONE,
        proto_name: Text::NONE,
        remote_country: Text::NONE,
        src_country: Text::NONE,
        dst_country: Text::NONE,
        note: Text::NONE,
        stream: Text::NONE,
        customer: Text::NONE,
        src_customer: Text::NONE,
        dst_customer: Text::NONE,
        src_as_name: Text::NONE,
        dst_as_name: Text::NONE,
    };

    /// The texts that a table of the operator's may fill, by name.
    pub fn text_mut(&mut self, name: &str) -> Option<&mut Text> {
        Some(match name {
            "note" => &mut self.note,
            "customer" => &mut self.customer,
            "src_customer" => &mut self.src_customer,
            "dst_customer" => &mut self.dst_customer,
            "src_if_name" => &mut self.src_if_name,
            "src_if_desc" => &mut self.src_if_desc,
            "dst_if_name" => &mut self.dst_if_name,
            "dst_if_desc" => &mut self.dst_if_desc,
            "proto_name" => &mut self.proto_name,
            "remote_country" => &mut self.remote_country,
            "src_country" => &mut self.src_country,
            "dst_country" => &mut self.dst_country,
            "src_as_name" => &mut self.src_as_name,
            "dst_as_name" => &mut self.dst_as_name,
            _ => return None,
        })
    }
}
