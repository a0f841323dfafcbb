//! The main job on real input: a real Prometheus with two weeks of history, an API server at HTTP
//! level, and the binary between them.

use std::ffi::OsStr;
use std::time::Duration;

use forecast::Timestamp;
use serde_json::{Value, json};

use crate::binary::{Server, get, json, run};
use crate::prometheus::Prometheus;
use crate::stub::{Fault, Stub};
