//! Loops over cells, compiled once for each kind of processor and each usual shape of a table, whose numbers are constants
//! there.

use super::cells::Sums;
use super::table::Shape;
use crate::arch::lanes::{self, Lanes, Work};
use crate::stats::weighted::SumLayout;

/// A loop over cells of one shape. All that it calls is to be inlined.
pub(super) trait OfShape {
    /// What comes of it.
    type Out;

    /// Does it. Of the layout of the shape's sums it reads what it is, not its weight.
    fn run<L: Lanes>(self, lanes: L, shape: &Shape) -> Self::Out;
}

/// Does `work` over cells of this shape.
#[inline]
pub(super) fn run<W: OfShape>(work: W, shape: &Shape) -> W::Out {
    lanes::run(Shaped { work, shape })
}

struct Shaped<'a, W> {
    work: W,
    shape: &'a Shape,
}

const fn narrow(key_bytes: usize, layout: SumLayout) -> Shape {
    Shape::new(key_bytes, Sums { layout, wide: false })
}

const ONES: SumLayout = SumLayout::Ones { weight: 0 };
const VALUES: SumLayout = SumLayout::Values { weight: 0 };

impl<W: OfShape> Work for Shaped<'_, W> {
    type Out = W::Out;

    #[inline(always)]
    fn run<L: Lanes>(self, lanes: L) -> W::Out {
        let Self { work, shape } = self;
        match (shape.halves, shape.sums.layout, shape.sums.wide) {
            (1, SumLayout::Plain, false) => work.run(lanes, const { &narrow(4, SumLayout::Plain) }),
            (1, SumLayout::Ones { .. }, false) => work.run(lanes, const { &narrow(4, ONES) }),
            (1, SumLayout::Values { .. }, false) => work.run(lanes, const { &narrow(4, VALUES) }),
            (4, SumLayout::Plain, false) => work.run(lanes, const { &narrow(16, SumLayout::Plain) }),
            (4, SumLayout::Ones { .. }, false) => work.run(lanes, const { &narrow(16, ONES) }),
            (4, SumLayout::Values { .. }, false) => work.run(lanes, const { &narrow(16, VALUES) }),
            _ => work.run(lanes, shape),
        }
    }
}
