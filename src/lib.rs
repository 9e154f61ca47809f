//! Seals the values inside YAML, JSON and TOML files, byte for byte, in the SOPS file format.

