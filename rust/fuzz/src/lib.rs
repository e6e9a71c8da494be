//! What the targets share: the packaged catalogue, which Python expands (`prepare.py` writes it down), and the pieces
//! of an input.
#![forbid(unsafe_code)]

use pbs_core::FormatSpec;

const CATALOGUE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/catalogue.txt");

/// Local time of Berlin around the end of summer time 2026, so that one hour is ambiguous.
pub const ZONE: [(i64, i64); 2] = [(0, 7_200), (1_792_890_000, 3_600)];

/// 2026-10-25 02:00 UTC, after the hour that comes twice.
pub const REFERENCE: i64 = 1_792_893_600;

/// The packaged formats and one of a site's own, as `prepare.py` wrote them: lines of key, tab, value.
///
/// # Panics
/// When the file is missing or not of that form.
#[must_use]
pub fn formats() -> Vec<FormatSpec> {
    let text = std::fs::read_to_string(CATALOGUE)
        .unwrap_or_else(|error| panic!("{CATALOGUE}: {error}; write it with rust/fuzz/prepare.py"));
    let mut formats: Vec<FormatSpec> = Vec::new();
    for line in text.lines() {
        let (key, value) = line.split_once('\t').expect("key, tab, value");
        let value = value.to_owned();
        if key == "name" {
            formats.push(FormatSpec { name: value, ..FormatSpec::default() });
            continue;
        }
        let format = formats.last_mut().expect("a name comes first");
        let list = match key {
            "program" => &mut format.program,
            "tls_program" => &mut format.tls_program,
            "success" => &mut format.success,
            "login" => &mut format.login,
            "logout" => &mut format.logout,
            "session_address" => &mut format.session_address,
            "session_success" => &mut format.session_success,
            "session_failure" => &mut format.session_failure,
            "session_end" => &mut format.session_end,
            "restart" => &mut format.restart,
            "killed" => &mut format.killed,
            "aborted" => &mut format.aborted,
            "line_login" => &mut format.line_login,
            "line_logout" => &mut format.line_logout,
            "own_prefix" => &mut format.own_prefix,
            "cut_prefix" => &mut format.cut_prefix,
            "own_probe" => {
                format.own_probe = Some(value);
                continue;
            }
            "own_in_syslog" => {
                format.own_in_syslog = true;
                continue;
            }
            "marked" | "unmarked" | "cut_whole" => {
                let numbers = match key {
                    "marked" => &mut format.marked,
                    "unmarked" => &mut format.unmarked,
                    _ => &mut format.cut_whole,
                };
                numbers.push(value.parse().expect("a number"));
                continue;
            }
            "cut_rest" => {
                format.cut_rest = value.parse().expect("a number");
                continue;
            }
            "cut" => {
                format.cut = value.parse().expect("a number of bytes");
                continue;
            }
            other => panic!("{CATALOGUE}: unknown key {other}; write it anew with rust/fuzz/prepare.py"),
        };
        list.push(value);
    }
    assert!(formats.len() > 1, "{CATALOGUE} is empty; write it anew with rust/fuzz/prepare.py");
    formats
}

/// The pieces of some lines, with the start of each; bit `n` of `cuts` says whether to cut after line `n` of each
/// eight.
#[must_use]
pub fn pieces(data: &[u8], cuts: u8) -> Vec<(usize, &[u8])> {
    let (mut start, mut stop, mut pieces) = (0, 0, Vec::new());
    for (number, line) in data.split_inclusive(|&byte| byte == b'\n').enumerate() {
        stop += line.len();
        if cuts >> (number % 8) & 1 == 1 || stop == data.len() {
            pieces.push((start, &data[start..stop]));
            start = stop;
        }
    }
    pieces
}
