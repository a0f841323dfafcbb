//! LSTM and linear layers on the CPU, forward and backward, in vector instructions.
//!
//! ```text
//! simd          sixteen lanes on any instruction set; the only unsafe code
//!  ├ training   lanes hold samples    product · cell · outer · mask · adam ─▶ LstmLayer, LinearLayer
//!  └ forecasts  lanes hold columns    columns · activation                 ─▶ LstmStepper, Columns
//! ```
//!
//! Sixteen samples are a tile, and one feature of a tile is a [`Row`]: training wastes no lane,
//! whatever the widths of the layers. A forecast of one series has one sample only; there the
//! lanes hold columns of the weights, which are read once for all windows that are under way.
//!
//! Weights come as plain numbers and are packed anew when they change. What is absent on purpose:
//! Burn, files, threads, randomness.

#![expect(
    clippy::needless_range_loop,
    reason = "a loop over an index that is known in advance becomes registers; an iterator's closure \
              would not be compiled for the instruction set of the kernel that it is in"
)]

mod activation;
mod adam;
mod cell;
mod columns;
mod linear;
mod lstm;
mod mask;
mod outer;
mod peak;
mod product;
mod simd;
mod stepper;

pub use adam::Adam;
pub use columns::Columns;
pub use linear::LinearLayer;
pub use lstm::{Gradients, LstmLayer, Tape, TileState};
pub use mask::{Mask, mask};
pub use peak::Peak;
pub use simd::{Isa, LANES, Row};
pub use stepper::{LstmStepper, Sequences};
