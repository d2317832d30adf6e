//! What the program is made of. Licences, duplicates and sources are checked by `cargo deny`.

use std::path::Path;
use std::process::Command;

/// The packages that this machine builds the program and its tests from, as cargo describes them.
fn packages() -> Vec<serde_json::Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
    let rustc = Command::new("rustc").arg("-vV").current_dir(root).output().expect("rustc starts");
    let version = String::from_utf8(rustc.stdout).expect("its version is text");
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let arguments = ["metadata", "--locked", "--offline", "--format-version", "1"];
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--filter-platform", host])
        .current_dir(root)
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    found["packages"].as_array().expect("packages").clone()
}

#[test]
fn no_dependency_asks_for_a_newer_rust_than_we_promise() {
    let packages = packages();
    assert!(packages.len() > 100, "{} packages", packages.len());
    let number = |version: &str| -> Vec<u32> {
        version.split('.').map(|part| part.parse().expect("a number")).collect()
    };
    let ours = number(env!("CARGO_PKG_RUST_VERSION"));
    for package in packages {
        let Some(asked) = package["rust_version"].as_str() else { continue };
        let (name, version) = (&package["name"], &package["version"]);
        assert!(number(asked)[..2] <= ours[..2], "{name} {version} needs Rust {asked}");
    }
}

/// The names a program asks of its libraries: the strings of an ELF file's table of dynamic symbols.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
fn asked_of_libraries(program: &[u8]) -> Vec<&[u8]> {
    let number = |at: usize, bytes: usize| -> usize {
        program[at..at + bytes]
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | usize::from(byte))
    };
    assert_eq!(&program[..6], b"\x7fELF\x02\x01", "64 bits, little endian");
    let (table, size) = (number(0x28, 8), number(0x3a, 2));
    let section = |i: usize| table + i * size;
    let dynamic_symbols = 11;
    let symbols = (0..number(0x3c, 2)).map(section).find(|at| number(at + 4, 4) == dynamic_symbols);
    let strings = section(number(symbols.expect("it is linked with libraries") + 0x28, 4));
    let (from, length) = (number(strings + 0x18, 8), number(strings + 0x20, 8));
    program[from..from + length].split(|&byte| byte == 0).collect()
}

/// The C library is the way to the network for the standard library, and for C: a program that asks
/// for none of these has no way there of its own. Drivers of a GPU, loaded while it runs, may.
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#[test]
fn the_program_asks_for_no_function_that_opens_a_connection() {
    let program = std::fs::read(assert_cmd::cargo::cargo_bin!("llfm")).expect("it is built");
    let asked = asked_of_libraries(&program);
    for name in ["malloc", "write"] {
        assert!(asked.contains(&name.as_bytes()), "{name}: the table is read wrongly");
    }
    for name in ["socket", "connect", "bind", "listen", "accept", "accept4", "getaddrinfo"] {
        assert!(!asked.contains(&name.as_bytes()), "the program asks for {name}");
    }
}
