//! `waxseal inspect`: what a component is, and what keeps it from being a
//! policy.

use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use super::support::{Status, quiet_log, runtime};
use super::terminal;
use crate::config::{self, Problem, Severity, Source};
use crate::input_file;
use crate::printable::Text;
use crate::runtime::{CONTRACT_VERSIONS, Compiler, Import, ImportAccess, Inspection, Preinit};

/// Tell what a component is: imports, exports, versions, settings, and what
/// keeps it from being loaded.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The component.
    file: PathBuf,
    /// Try it with these settings.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Print the JSON Schema of its settings, and nothing else.
    #[arg(long)]
    schema: bool,
}

/// Memory that it is tried with: what a policy has where `limits.memory` says
/// nothing else.
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
            out.block(&config::render(&mistakes, out.has_colors()));
            writeln!(out)?;
        }
    }
    Ok(match inspection.is_fit() {
        true => Status::Done,
        false => Status::No,
    })
}

fn schema(inspection: &Inspection, out: &mut Text) -> anyhow::Result<Status> {
    let description = inspection.description.as_ref();
    let Some(schema) = description.and_then(|of| of.settings_schema.as_deref()) else {
        let why = inspection.problem.as_deref();
        let why = why.unwrap_or("the policy has no schema of its settings");
        terminal::error_line!("{why}");
        return Ok(Status::No);
    };
    // As its author wrote it, where that is no JSON.
    match serde_json::from_str::<Value>(schema) {
        Ok(value) => out.json(&value)?,
        Err(_) => {
            out.block(schema);
            writeln!(out)?;
        }
    }
    Ok(Status::Done)
}

/// The problems of the settings, each with its place in their file.
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
        .map(|import| json!({ "name": import.name, "access": word(import.access) }))
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

fn word(access: ImportAccess) -> &'static str {
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
        // wasmtime lays some of its own out over lines.
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
            Some(_) => "with a schema (--schema prints it)",
            None => "without a schema",
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
        return "none: it exports nothing of waxseal:policy".to_owned();
    }
    let told = |version: &String| match CONTRACT_VERSIONS.contains(&version.as_str()) {
        true => version.clone(),
        false => format!(
            "{version} (not served here: {} is)",
            CONTRACT_VERSIONS.join(", ")
        ),
    };
    let versions: Vec<String> = inspection.contract.iter().map(told).collect();
    format!("waxseal:policy {}", versions.join(", "))
}

fn preinit_text(preinit: &Preinit) -> String {
    match preinit {
        Preinit::Done => "baked in when it is loaded".to_owned(),
        Preinit::Possible => {
            "baked in when it is loaded, as far as can be seen without them (--settings)".to_owned()
        }
        Preinit::Impossible(why) => format!("read for each message, which is slower: {why}"),
    }
}

fn imported(import: &Import) -> String {
    let remark = match import.access {
        ImportAccess::Contract => return import.name.clone(),
        ImportAccess::Empty => "there, and gives nothing away",
        ImportAccess::Denied => "DENIED: a call fails the decision",
        ImportAccess::Foreign => "REFUSED: no policy may import it",
    };
    format!("{:<44}{remark}", import.name)
}
