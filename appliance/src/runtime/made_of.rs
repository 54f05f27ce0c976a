//! What each core's memory is made of, told once at start: ordinary pages are slower, and what is not locked the system may
//! take away.

use crate::arch::{Made, Region};

/// A line for a core: each part, of how many MB, and what it is made of; the worst, why, and what mends it. None where
/// nothing was reserved.
pub fn line(parts: &[(&'static str, &Region)]) -> (String, Option<Made>) {
    let asked = parts.iter().filter(|(_, region)| region.made() != Made::Touched || region.why().is_some());
    let Some((_, worst)) = asked.clone().min_by_key(|(_, region)| region.made()) else { return (String::new(), None) };
    let made = asked.map(|(name, region)| format!("{name} {} MB in {}", (region.len() * 8).div_ceil(1 << 20), region.made().text()));
    let text = made.collect::<Vec<_>>().join(", ");
    let why = worst.why().map_or_else(String::new, |why| format!(" ({why}): {}", remedy(worst.made())));
    (text + &why, Some(worst.made()))
}

const fn remedy(made: Made) -> &'static str {
    match made {
        Made::Huge | Made::Locked => "it works, slower; `tailwater check` says how many hugepages it wants",
        Made::Loose => {
            "the system may swap it out, and packets are lost then: raise `ulimit -l` or the service's LimitMEMLOCK, or reserve hugepages, \
             which need neither (`tailwater check` says how many)"
        }
        Made::Touched => "memory may be missing when it is needed: lower memory_mb, or free memory",
    }
}

/// Tells it.
pub fn tell(lcore: u32, role: &str, parts: &[(&'static str, &Region)]) {
    match line(parts) {
        (_, None) => {}
        (text, Some(Made::Huge)) => tracing::info!(lcore, role, "memory: {text}"),
        (text, Some(_)) => tracing::warn!(lcore, role, "memory: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Reserve;

    #[test]
    fn a_core_says_what_it_is_made_of_why_and_what_mends_it() {
        let lazy = Region::new(1 << 18, Reserve::Lazily);
        assert_eq!(line(&[("logs", &lazy)]), (String::new(), None));
        let region = Region::new(1 << 18, Reserve::AtStart);
        let (text, worst) = line(&[("roots", &lazy), ("sketches", &region)]);
        println!("{text}");
        assert_eq!(worst, Some(region.made()));
        assert!(text.starts_with(&format!("sketches 2 MB in {}", region.made().text())), "{text}");
        assert_eq!(text.contains(remedy(region.made())), region.why().is_some(), "{text}");
        assert!(remedy(Made::Loose).contains("ulimit -l") && remedy(Made::Loose).contains("LimitMEMLOCK"));
    }
}
