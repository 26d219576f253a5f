//! `waxseal inspect`: metadata of a component, and why it cannot be loaded as a policy.

use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::support::{Status, quiet_log, runtime};
use super::terminal;
use crate::problems::render;
use waxseal::config::{Problem, Severity, Source};
use waxseal_core::printable::Text;
use waxseal_runtime::{CONTRACT_VERSIONS, Compiler, Import, ImportAccess, Inspection, Preinit};
use waxseal_system::input_file;

/// Print imports, exports, versions and settings schema of a component, and why it
/// cannot be loaded
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Component file
    file: PathBuf,
    /// Validate this settings file with the component
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Print only the JSON Schema of the settings
    #[arg(long)]
    schema: bool,
}

/// Memory limit: the default of `limits.memory`.
const MEMORY: usize = 64 << 20;

pub(super) fn run(arguments: &Arguments, json: bool, out: &mut Text) -> anyhow::Result<Status> {
    quiet_log();
    let file = &arguments.file;
    let bytes = input_file::read(file, input_file::COMPONENT)
        .with_context(|| format!("reading {}", file.display()))?;
    let settings = match &arguments.settings {
        None => None,
        Some(path) => {
            let text = input_file::read_text(path, input_file::SETTINGS);
            Some(text.with_context(|| format!("reading {}", path.display()))?)
        }
    };
    let compiler = Compiler::this_program();
    let inspected = compiler.inspect(&bytes, settings.as_deref(), MEMORY);
    let inspection = runtime()?.block_on(inspected);
    if arguments.schema {
        return schema(&inspection, out);
    }
    let mistakes = match (&arguments.settings, settings) {
        (Some(path), Some(text)) => mistakes(&inspection, path, &text),
        _ => Vec::new(),
    };
    if json {
        out.json(&object(&inspection, &mistakes))?;
    } else {
        text(&inspection, out)?;
        if !mistakes.is_empty() {
            writeln!(out)?;
            out.block(&render(&mistakes, out.has_colors()));
            writeln!(out)?;
        }
    }
    Ok(match inspection.is_fit() {
        true => Status::Done,
        false => Status::Negative,
    })
}

fn schema(inspection: &Inspection, out: &mut Text) -> anyhow::Result<Status> {
    let description = inspection.description.as_ref();
    let Some(schema) = description.and_then(|of| of.settings_schema.as_deref()) else {
        let why = inspection.problem.as_deref();
        let why = why.unwrap_or("the policy does not provide a settings schema");
        terminal::error_line!("{why}");
        return Ok(Status::Negative);
    };
    // Printed verbatim if it is not valid JSON.
    match serde_json::from_str::<Value>(schema) {
        Ok(value) => out.json(&value)?,
        Err(_) => {
            out.block(schema);
            writeln!(out)?;
        }
    }
    Ok(Status::Done)
}

/// The problems of the settings, with their position in the file.
fn mistakes(inspection: &Inspection, path: &std::path::Path, text: &str) -> Vec<Problem> {
    let source = Source {
        path: path.to_owned(),
        text: text.into(),
    };
    let problems = inspection.settings.iter().cloned();
    problems
        .map(|of| source.problem(Severity::Error, of.span, of.message, of.expected))
        .collect()
}

fn object(inspection: &Inspection, mistakes: &[Problem]) -> Value {
    let description = inspection.description.as_ref();
    let schema = description.and_then(|of| of.settings_schema.as_deref());
    let imports: Vec<Value> = inspection
        .imports
        .iter()
        .map(|import| json!({ "name": import.name, "access": access_name(import.access) }))
        .collect();
    json!({
        "name": description.map(|of| &of.name),
        "version": description.map(|of| &of.version),
        "size": inspection.size,
        "sha256": inspection.sha256,
        "contract": inspection.contract,
        "settings_schema": schema.and_then(|text| serde_json::from_str::<Value>(text).ok()),
        "preinitialized": match &inspection.preinit {
            None => Value::Null,
            Some(preinit) => json!(!matches!(preinit, Preinit::Impossible(_))),
        },
        "imports": imports,
        "exports": inspection.exports,
        "settings_problems": mistakes,
        "problem": inspection.problem,
    })
}

fn access_name(access: ImportAccess) -> &'static str {
    match access {
        ImportAccess::Contract => "contract",
        ImportAccess::Empty => "empty",
        ImportAccess::Denied => "denied",
        ImportAccess::Foreign => "foreign",
    }
}

fn text(inspection: &Inspection, out: &mut Text) -> io::Result<()> {
    let mut add = |name: &str, value: &str| writeln!(out, "{name:>10}  {value}");
    if let Some(problem) = &inspection.problem {
        // Messages of wasmtime can have several lines.
        let words: Vec<&str> = problem.split_whitespace().collect();
        add("problem", &words.join(" "))?;
    }
    let description = inspection.description.as_ref();
    if let Some(of) = description {
        add("policy", format!("{} {}", of.name, of.version).trim())?;
    }
    add("size", &size(inspection.size))?;
    add("SHA-256", &inspection.sha256)?;
    add("contract", &contract(inspection))?;
    if let Some(of) = description {
        let schema = match of.settings_schema {
            Some(_) => "with schema (print it with --schema)",
            None => "without schema",
        };
        add("settings", schema)?;
    }
    if let Some(preinit) = &inspection.preinit {
        add("", &preinit_text(preinit))?;
    }
    for (at, import) in inspection.imports.iter().enumerate() {
        add(if at == 0 { "imports" } else { "" }, &imported(import))?;
    }
    for (at, export) in inspection.exports.iter().enumerate() {
        add(if at == 0 { "exports" } else { "" }, export)?;
    }
    Ok(())
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        _ => format!("{bytes} bytes ({} KiB)", bytes.div_ceil(1024)),
    }
}

fn contract(inspection: &Inspection) -> String {
    if inspection.contract.is_empty() {
        return "none: no export of waxseal:policy".to_owned();
    }
    let describe = |version: &String| match CONTRACT_VERSIONS.contains(&version.as_str()) {
        true => version.clone(),
        false => format!(
            "{version} (unsupported; supported: {})",
            CONTRACT_VERSIONS.join(", ")
        ),
    };
    let versions: Vec<String> = inspection.contract.iter().map(describe).collect();
    format!("waxseal:policy {}", versions.join(", "))
}

fn preinit_text(preinit: &Preinit) -> String {
    match preinit {
        Preinit::Done => "read once, when the policy is loaded".to_owned(),
        Preinit::Possible => {
            "read once, when the policy is loaded (not verified without --settings)".to_owned()
        }
        Preinit::Impossible(why) => format!("read for each message, which is slower: {why}"),
    }
}

fn imported(import: &Import) -> String {
    let remark = match import.access {
        ImportAccess::Contract => return import.name.clone(),
        ImportAccess::Empty => "available, returns no information",
        ImportAccess::Denied => "DENIED: a call fails the decision",
        ImportAccess::Foreign => "FORBIDDEN: the component cannot be loaded",
    };
    format!("{:<44}{remark}", import.name)
}
