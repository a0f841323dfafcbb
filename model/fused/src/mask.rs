//! Dropout's masks on the rows of a tile.

use crate::simd::{Isa, Kernel, Row, Simd};

/// Which samples of a row are kept: bit l for lane l.
pub type Mask = u16;

/// Multiplies the kept samples of `rows` with `scale` and drops the others, into `to`; all slices
/// are of one length.
pub fn mask(isa: Isa, rows: &[Row], masks: &[Mask], scale: f32, to: &mut [Row]) {
    isa.run(Keep { rows, masks, scale, to });
}

struct Keep<'a> {
    rows: &'a [Row],
    masks: &'a [Mask],
    scale: f32,
    to: &'a mut [Row],
}

impl Kernel for Keep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let scale = s.splat(self.scale);
        for ((row, mask), to) in self.rows.iter().zip(self.masks).zip(self.to) {
            s.store(s.keep(s.mul(s.load(&row.0), scale), *mask), &mut to.0);
        }
    }
}
