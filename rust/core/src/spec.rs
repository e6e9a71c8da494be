//! What a catalogue is compiled from.

/// One format as its file gives it, placeholders expanded; see `pbs_fast.formats.Format`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct FormatSpec {
    pub name: String,
    pub program: Vec<String>,
    pub tls_program: Vec<String>,
    pub success: Vec<String>,
    pub login: Vec<String>,
    pub logout: Vec<String>,
    pub session_address: Vec<String>,
    pub session_success: Vec<String>,
    pub session_failure: Vec<String>,
    pub session_end: Vec<String>,
    pub restart: Vec<String>,
    pub killed: Vec<String>,
    pub aborted: Vec<String>,
    pub line_login: Vec<String>,
    pub line_logout: Vec<String>,
    pub cut: usize,
    pub cut_rest: usize,
    pub cut_prefix: Vec<String>,
    pub cut_whole: Vec<usize>,
    pub marked: Vec<usize>,
    pub unmarked: Vec<usize>,
    pub own_prefix: Vec<String>,
    pub own_probe: Option<String>,
    pub own_in_syslog: bool,
}
