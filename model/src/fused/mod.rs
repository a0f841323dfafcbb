//! The network on the CPU, without Burn: what training and serving run on.
//!
//! ```text
//! simd          sixteen lanes on any instruction set; the only unsafe code
//!  └ kernels    product · cell (activation) · outer · adam      compiled for each instruction set
//!     └ layers  lstm · linear                                   plain code on rows of a tile
//!        └ FusedNetwork                                         gradients of a tile, forecasts
//! ```
//!
//! Sixteen samples are a tile; each feature of a tile is a [`Row`] of sixteen lanes. All arithmetic
//! runs lane by lane, whichever sample sits there, so that no lane is wasted on a width that is no
//! multiple of sixteen. Weights are plain numbers in the shapes of [`crate::Weights`], packed anew
//! whenever they change.

mod activation;
mod adam;
mod cell;

mod linear;
mod lstm;
mod network;
mod outer;
mod peak;
mod product;
mod simd;


pub use adam::Adam;
pub use network::{FusedNetwork, Tile, Workspace};
pub use peak::Peak;
pub use simd::Isa;
pub(crate) use simd::{LANES, Row};
