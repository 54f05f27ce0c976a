//! The messages of `proto/` against every release of them: what a consumer was built with must go on reading what we send.
//!
//! `proto/released/VERSION.txt` holds what a release had, one field, enum value or reserved number a line. `TAILWATER_RELEASE=0.2.0
//! cargo test --test proto_released` writes the file of a new release; a file of an old one is never changed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto};

fn proto() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto")
}

/// What the messages promise, one promise a line.
fn promises(root: &Path, file: &Path) -> BTreeSet<String> {
    let set = protox::compile([file], [root]).unwrap_or_else(|error| panic!("{error}"));
    let mut lines = BTreeSet::new();
    for file in &set.file {
        file.message_type.iter().for_each(|message| of_message(message, file.package(), &mut lines));
        file.enum_type.iter().for_each(|of| of_enum(of, file.package(), &mut lines));
    }
    lines
}

fn of_message(message: &DescriptorProto, within: &str, lines: &mut BTreeSet<String>) {
    let name = format!("{within}.{}", message.name());
    lines.insert(format!("message {name}"));
    for field in &message.field {
        lines.insert(format!("field {name} {} {}", field.number(), of_field(field, message)));
    }
    for range in &message.reserved_range {
        lines.extend((range.start()..range.end()).map(|number| format!("reserved {name} {number}")));
    }
    lines.extend(message.reserved_name.iter().map(|reserved| format!("reserved {name} {reserved}")));
    message.nested_type.iter().for_each(|nested| of_message(nested, &name, lines));
    message.enum_type.iter().for_each(|nested| of_enum(nested, &name, lines));
}

/// Name, type, how often, and in which `oneof`.
fn of_field(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let of = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().to_owned(),
        plain => plain.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    let often = match field.label() {
        Label::Repeated => "repeated",
        _ if field.proto3_optional() => "optional",
        _ => "single",
    };
    let choice = field.oneof_index.filter(|_| !field.proto3_optional()).map(|at| message.oneof_decl[usize::try_from(at).unwrap()].name());
    format!("{} {of} {often}{}", field.name(), choice.map(|name| format!(" oneof {name}")).unwrap_or_default())
}

fn of_enum(of: &EnumDescriptorProto, within: &str, lines: &mut BTreeSet<String>) {
    let name = format!("{within}.{}", of.name());
    lines.insert(format!("enum {name}"));
    lines.extend(of.value.iter().map(|value| format!("value {name} {} {}", value.number(), value.name())));
    for range in &of.reserved_range {
        lines.extend((range.start()..=range.end()).map(|number| format!("reserved {name} {number}")));
    }
    lines.extend(of.reserved_name.iter().map(|reserved| format!("reserved {name} {reserved}")));
}

/// What of a release does not hold any more.
fn broken(released: &BTreeSet<String>, now: &BTreeSet<String>) -> Vec<String> {
    let told = |line: &String| {
        let words: Vec<&str> = line.split(' ').collect();
        // What stands under that number, or under that name, today.
        let same = |other: &&String| {
            let others: Vec<&str> = other.split(' ').collect();
            others[1] == words[1]
                && words.len() > 2
                && others.len() > 2
                && others[0] != "reserved"
                && (others[2] == words[2] || others.get(3) == words.get(3))
        };
        let instead: Vec<&str> = now.iter().filter(same).map(String::as_str).collect();
        format!("{line}: {}", if instead.is_empty() { "is gone".to_owned() } else { format!("is now {}", instead.join(", ")) })
    };
    released.difference(now).map(told).collect()
}

#[test]
fn no_release_is_broken() {
    let now = promises(&proto(), &proto().join("tailwater/v1/report.proto"));
    let folder = proto().join("released");
    if let Ok(version) = std::env::var("TAILWATER_RELEASE") {
        let file = folder.join(format!("{version}.txt"));
        assert!(!file.exists(), "{} is released: it is never changed", file.display());
        std::fs::write(&file, now.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }
    let releases: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!releases.is_empty(), "nothing in {}", folder.display());
    for release in releases {
        let released: BTreeSet<String> = std::fs::read_to_string(&release).unwrap().lines().map(str::to_owned).collect();
        assert!(released.len() > 100, "{} holds {} lines", release.display(), released.len());
        let broken = broken(&released, &now);
        assert!(broken.is_empty(), "consumers built with {} break:\n{}", release.display(), broken.join("\n"));
    }
}

/// A change of each kind is found, and an addition is none.
#[test]
fn every_break_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let of = |body: &str| {
        let file = folder.path().join("x.proto");
        std::fs::write(&file, format!("syntax = \"proto3\";\npackage p;\n{body}")).unwrap();
        promises(folder.path(), &file)
    };
    let whole = "message M {{ reserved 7; uint64 a = 1; repeated string b = 2; oneof c {{ E d = 3; bytes e = 4; }} FIELD }}\nenum E {{ X = 0; Y = 1; VALUE }}";
    let with =
        |from: &str, to: &str| of(&whole.replace("{{", "{").replace("}}", "}").replace(from, to).replace("FIELD", "").replace("VALUE", ""));
    let released = with("", "");
    for (from, to) in [("FIELD", "optional double f = 5;"), ("VALUE", "Z = 2;"), ("reserved 7", "reserved 6, 7")] {
        assert_eq!(broken(&released, &with(from, to)), Vec::<String>::new(), "{from} → {to}");
    }
    let breaks = [
        ("uint64 a = 1;", ""),
        ("uint64 a = 1", "uint64 a = 8"),
        ("uint64 a", "uint32 a"),
        ("uint64 a", "uint64 aa"),
        ("uint64 a", "optional uint64 a"),
        ("repeated string b", "string b"),
        ("bytes e = 4; }", "} bytes e = 4;"),
        ("Y = 1", "Y = 2"),
        ("Y = 1", "YY = 1"),
        ("reserved 7;", "uint64 g = 7;"),
    ];
    for (from, to) in breaks {
        assert!(!broken(&released, &with(from, to)).is_empty(), "{from} → {to}");
    }
}
