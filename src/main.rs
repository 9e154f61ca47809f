//! The program: [`waxseal::cli`] and an exit code.

fn main() -> std::process::ExitCode {
    waxseal::cli::main()
}
