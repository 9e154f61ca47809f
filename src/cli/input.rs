//! What a command reads: a file or standard input, and the format that it is in.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::exit::{self, Exit};
use crate::document::Format;
use crate::os::fs::{self, ReadError};
use crate::text::MAX_TEXT;

/// A text, where it came from, and what it is.
#[derive(Clone)]
pub(crate) struct Input {
    /// The file; `None` for standard input.
    pub(crate) path: Option<PathBuf>,
    /// By what name formats and rules are chosen.
    pub(crate) name: PathBuf,
    pub(crate) format: Format,
    pub(crate) text: String,
}

impl Input {
    /// What messages call it.
    pub(crate) fn shown(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("standard input"))
    }

    /// Reads a file.
    ///
    /// `missing` is the exit code if it is not there. A file of a kind that is not sealed yet is
    /// looked at, not read.
    pub(crate) fn file(
        path: &Path,
        name_instead: Option<&Path>,
        type_flag: Option<Format>,
        missing: Exit,
    ) -> Result<Self, Error> {
        let name = name_instead.unwrap_or(path).to_owned();
        let format = format_of(&name, type_flag);
        let problem = match path.metadata() {
            Ok(metadata) => metadata.is_dir().then_some(ReadError::IsDirectory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(ReadError::NotFound),
            // Reading it says what is wrong.
            Err(_) => None,
        };
        if let Some(problem) = problem {
            let error = read_error(&problem, missing).about(path);
            return Err(match problem {
                ReadError::NotFound if path == Path::new("-") => error.hint(DASH),
                ReadError::IsDirectory => error.hint(DIRECTORY),
                _ => error,
            });
        }
        check_is_sealed_kind(format).map_err(|error| error.about(path))?;
        let text = fs::read(path).map_err(|error| read_error(&error, missing).about(path))?;
        Ok(Self { path: Some(path.to_owned()), name, format, text })
    }

    /// Reads standard input.
    pub(crate) fn stdin(
        name_instead: Option<&Path>,
        type_flag: Option<Format>,
    ) -> Result<Self, Error> {
        let name = name_instead.unwrap_or(Path::new("")).to_owned();
        let format = format_of(&name, type_flag);
        let shown = Path::new("standard input");
        if format == Format::Binary && type_flag.is_none() && name_instead.is_none() {
            let text = "nothing says what it is, and binary data is not supported yet";
            return Err(Error::new(exit::GENERIC, text)
                .about(shown)
                .hint("say --input-type yaml, json or toml"));
        }
        check_is_sealed_kind(format).map_err(|error| error.about(shown))?;
        Ok(Self { path: None, name, format, text: read_stdin().map_err(|it| it.about(shown))? })
    }
}

/// Reads standard input to its end.
pub(crate) fn read_stdin() -> Result<String, Error> {
    let mut text = String::new();
    let limit = MAX_TEXT as u64 + 1;
    io::stdin().lock().take(limit).read_to_string(&mut text).map_err(|error| {
        let problem = match error.kind() {
            io::ErrorKind::InvalidData => "is not UTF-8".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        Error::new(exit::CANNOT_READ, problem)
    })?;
    Ok(text)
}

/// The flag, else by the suffix of the name; never by content.
pub(crate) fn format_of(name: &Path, type_flag: Option<Format>) -> Format {
    type_flag.unwrap_or_else(|| Format::of_file_name(&name.to_string_lossy()))
}

/// Whether files of this kind can be sealed at all.
pub(crate) fn check_is_sealed_kind(format: Format) -> Result<(), Error> {
    match format {
        Format::Yaml | Format::Json | Format::Toml => Ok(()),
        Format::Dotenv | Format::Ini | Format::Binary => {
            let text =
                format!("{} files are not supported yet; nothing was changed", format.name());
            let error = Error::new(exit::GENERIC, text);
            if format == Format::Binary {
                return Err(error.hint(
                    "YAML, JSON and TOML are known by the end of the name; \
                     --input-type yaml, json or toml says it otherwise",
                ));
            }
            Err(error)
        }
    }
}

/// Why a file could not be read.
pub(crate) fn read_error(error: &ReadError, missing: Exit) -> Error {
    let exit = match error {
        ReadError::NotFound => missing,
        _ => exit::CANNOT_READ,
    };
    Error::of(exit, error)
}

/// As in sops.
const DASH: &str = "`-` is a name like any other: `decrypt` and `encrypt` read standard input where no \
                    file is named";

/// Of the commands that walk through no folders.
const DIRECTORY: &str = "name the files in it: `git ls-files '*.yaml'` lists those of a repository";
