//! The properties for mutants of good input. Each test is named as its fuzz target.

use crate::property;
use crate::survive::{noise, survive};

#[test]
fn iso_image() {
    let whole = (0..3).map(|image| vec![image]);
    // A few damages each: with hundreds of them no lookup gets far.
    let damaged = noise().into_iter().map(|mut damages| {
        damages.truncate(1 + 4 * 3);
        damages[1..].iter_mut().step_by(4).for_each(|place| *place &= 0x7f);
        damages
    });
    survive(&whole.chain(damaged).collect::<Vec<_>>(), property::iso_image::check);
}
