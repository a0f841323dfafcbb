//! The sources as their users see them: files on disk, and a Prometheus that misbehaves.
//! One binary, so that it is linked once.

mod csv;
mod https;
mod misbehaving;
mod signals;
mod stub;
mod synthetic;
