//! A calculation from outside of the crate, in a configuration, from records to its figure. The part between the marks
//! is the example of docs/new-calculation.md, which is compared with it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]
#![allow(unreachable_pub, reason = "the example is written as it stands in a crate")]

use std::path::Path;

use tailwater::arch::HashKey;
use tailwater::config;
use tailwater::record::{Has, Record};
use tailwater::runtime::World;
use tailwater::stats::Calculations;
use tailwater::stats::plan::{Period, Scratch, execute};
use tailwater::stats::pool::{Budget, Memory, Pool};
use tailwater::units::RangeIndex;

// example: begins
/// `largest`: the largest value of a key, such as the largest packet.
mod largest {
    use tailwater::axes::key::{Scale, number};
    use tailwater::config::{Refusal, StatSpec};
    use tailwater::stats::columns::View;
    use tailwater::stats::figure::{Basis, Confidence, Estimate, Figure};
    use tailwater::stats::interval::Question;
    use tailwater::stats::pool::{Memory, Pool};
    use tailwater::stats::{Calculation, Context, Exhausted, Kernel, Summary, settings};

    /// The calculation.
    pub struct Largest;

    impl Calculation for Largest {
        fn name(&self) -> &'static str {
            "largest"
        }

        fn settings(&self) -> &'static [&'static str] {
            &["ignore_above"]
        }

        fn compile(&self, spec: &StatSpec, _context: &Context) -> Result<Box<dyn Kernel>, Refusal> {
            if spec.key.single().is_none_or(|key| key.row().scale != Scale::Number) {
                return Err(settings::refusal("key", "`largest` compares numbers: name a key such as \"packet_size\""));
            }
            let ignore_above = settings::integer(spec, "ignore_above", u64::MAX, 1..=u64::MAX)?;
            Ok(Box::new(LargestKernel { ignore_above }))
        }
    }

    struct LargestKernel {
        ignore_above: u64,
    }

    impl Kernel for LargestKernel {
        fn root_words(&self) -> usize {
            1
        }

        fn update(&self, root: &mut [u64], _memory: &mut Memory<'_>, view: &View<'_>) -> Result<(), Exhausted> {
            for row in view.rows() {
                let value = number(row.key);
                if value <= self.ignore_above {
                    root[0] = root[0].max(value);
                }
            }
            Ok(())
        }

        fn export(&self, root: &[u64], _pool: &Pool, out: &mut Vec<u64>) {
            out.push(root[0]);
        }

        fn export_words_max(&self) -> usize {
            1
        }

        fn summary(&self) -> Box<dyn Summary> {
            Box::new(LargestSummary(0))
        }
    }

    struct LargestSummary(u64);

    impl Summary for LargestSummary {
        fn absorb(&mut self, words: &[u64]) {
            self.0 = words.iter().fold(self.0, |largest, word| largest.max(*word));
        }

        #[allow(clippy::cast_precision_loss, reason = "reports give doubles")]
        fn figure(&self, question: &Question) -> Figure {
            let value = self.0 as f64;
            if question.weight_max <= 1 {
                return Figure::Total(Estimate::exact(value), None);
            }
            // What a sample did not show may have been larger: nothing bounds it from above.
            let estimate = Estimate { value, low: value, high: None, basis: Basis::Sampled, confidence: Confidence::Sure };
            Figure::Total(estimate, None)
        }
    }
}
// example: ends

const CONFIGURATION: &str = "[ranges]
file = \"ranges.csv\"
[[stats]]
name = \"largest packet\"
calculation = \"largest\"
key = \"packet_size\"
decision = \"passed\"
ignore_above = 1500
";

fn load(calculations: &Calculations, text: &str) -> Result<config::Config, config::Faults> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.toml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("ranges.csv"), "prefix,customer\n192.0.2.0/24,acme\n").unwrap();
    config::load(&file, &|spec, windows| calculations.check(spec, windows))
}

#[test]
fn a_calculation_from_outside_counts() {
    let calculations = Calculations::standard().with(&largest::Largest);
    let config = load(&calculations, CONFIGURATION).unwrap();
    let world = World::with(&calculations, &config, HashKey::constant(), 1).unwrap();
    let plan = world.plans.of(RangeIndex(0));
    let mut summary = plan.stats()[0].kernel.summary();
    // Two shards, one batch each.
    for sizes in [[60, 900, 1_400], [61, 9_000, 1_401]] {
        let record = |wire_bytes| Record { wire_bytes, weight: 1, has: Has::INGRESS, ..Record::default() };
        let records = sizes.map(record);
        let (mut pool, mut budget, mut scratch) = (Pool::with_bytes(1 << 12), Budget::of_bytes(1 << 12), Scratch::new(plan));
        let mut root = vec![0; plan.root_words(Period::Long)];
        let mut memory = Memory { pool: &mut pool, budget: &mut budget };
        execute(plan, &mut scratch, &records, &HashKey::constant(), (&mut [], &mut root), &mut memory);
        let mut words = Vec::new();
        plan.stats()[0].kernel.export(&root, &pool, &mut words);
        summary.absorb(&words);
    }
    let figure = summary.figure(&plan.stats()[0].question);
    assert_eq!(figure, tailwater::stats::figure::Figure::Total(tailwater::stats::figure::Estimate::exact(1_401.0), None));
}

#[test]
fn its_faults_are_named_like_any_other() {
    let calculations = Calculations::standard().with(&largest::Largest);
    for (with, wrong, said) in [
        (&calculations, CONFIGURATION.replace("packet_size", "src_ip"), "`largest` compares numbers"),
        (&calculations, CONFIGURATION.replace("1500", "0"), "ignore_above (largest packet): must be a whole number from 1"),
        (&calculations, CONFIGURATION.replace("ignore_above", "ignore_below"), "unknown key; `largest` has these settings: ignore_above"),
        (&Calculations::standard(), CONFIGURATION.to_owned(), "no calculation `largest`; there are: sum, "),
    ] {
        let faults = load(with, &wrong).unwrap_err().to_string();
        assert!(faults.contains(said), "{faults}");
    }
}

#[test]
fn the_document_shows_this_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let (source, document) = (read("tests/external_calculation.rs"), read("docs/new-calculation.md"));
    let example = source.split("// example: begins\n").nth(1).unwrap().split("// example: ends").next().unwrap();
    let shown = document.split("```rust\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(shown, example, "docs/new-calculation.md shows another example than tests/external_calculation.rs");
}
