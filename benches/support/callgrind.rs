//! What callgrind counted: instructions by stage.
//!
//! valgrind knows no AVX-512: what chooses its form by the CPU runs the next one there.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use super::stages::{self, Shares};

/// `valgrind`, such that [`counted`] reads what it leaves. With `--separate-threads=yes` files have the thread's number behind their name.
pub fn command(out: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--dump-instr=yes", "--compress-strings=no", "--compress-pos=no"]);
    command.arg(format!("--callgrind-out-file={}", out.display()));
    command
}

/// Instructions by stage, of what was counted in a file. Its addresses are those within each object.
pub fn counted(out: &Path, program: &Path) -> Shares {
    let text = String::from_utf8_lossy(&std::fs::read(out).expect("what callgrind counted")).into_owned();
    let program_name = program.to_string_lossy();
    let (mut shares, mut addresses) = (Shares::new(), HashMap::<u64, f64>::new());
    let (mut object, mut is_call) = ("", false);
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("ob=") {
            object = name;
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with("0x") {
            // What stands behind a call is the called function's own, told there.
            let mut fields = line.split(' ');
            let address = fields.next().and_then(|field| u64::from_str_radix(field.trim_start_matches("0x"), 16).ok());
            let cost = fields.nth(1).and_then(|field| field.parse::<f64>().ok());
            if let (Some(address), Some(cost), false) = (address, cost, is_call) {
                if object == program_name {
                    *addresses.entry(address).or_default() += cost;
                } else {
                    *shares.entry(stages::library(object)).or_default() += cost;
                }
            }
            is_call = false;
        }
    }
    let listed: Vec<(u64, f64)> = addresses.into_iter().collect();
    let of = stages::of_addresses(program, &listed.iter().map(|(address, _)| *address).collect::<Vec<_>>());
    listed.iter().zip(of).for_each(|((_, cost), stage)| *shares.entry(stage).or_default() += cost);
    shares
}
