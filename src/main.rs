//! The `llfm` command.

mod cli;

fn main() -> std::process::ExitCode {
    hush_device_chooser();
    cli::main()
}

/// Without a display, Mesa's layer that reorders adapters complains on standard error, once for each
/// interface. We order adapters ourselves, and do without it there.
fn hush_device_chooser() {
    if cfg!(target_os = "linux") && std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        #[expect(unsafe_code, reason = "no thread has started that could read the environment")]
        unsafe {
            std::env::set_var("NODEVICE_SELECT", "1");
        }
    }
}
