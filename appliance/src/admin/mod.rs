//! Metrics and health over HTTP, on a thread of its own.
