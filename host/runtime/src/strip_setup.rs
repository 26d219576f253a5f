//! Removal of functions that only setup needs.
//!
//! After pre-initialization nothing calls `describe` or `configure`, and much of a
//! policy exists for them: two thirds of the standard policy, which read settings. The
//! bodies of functions that nothing else reaches are emptied, so that they are not
//! compiled and take no memory. Function indices do not change.

use wasm_encoder::{CodeSection, Function, Instruction, RawSection};
use wasmparser::{
    BinaryReader, CodeSectionReader, ComponentAlias, ConstExpr, Element, ElementItems, Export,
    ExternalKind, Global, Operator, OperatorsReader, Parser, Payload, Table, TableInit, TypeRef,
};
use wasmtime::{Result, bail, format_err};

/// A component without the functions that only those exports of its modules reach. The
/// exports have the names that the component tools give them.
///
/// # Errors
///
/// If the bytes are not a component, or one of those exports is used by other modules,
/// or more than once.
pub(super) fn strip_setup(component: &[u8], exports: &[String]) -> Result<Vec<u8>> {
    let mut stripped = wasm_encoder::Component::new();
    let mut depth = 0_u32;
    let mut used = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        if let (0, Some((id, range))) = (depth, payload.as_section()) {
            let within = component.get(range);
            let data = within.ok_or_else(|| format_err!("a section exceeds the input"))?;
            let module = match &payload {
                Payload::ModuleSection { .. } => Some(strip_module(data, exports)?),
                _ => None,
            };
            let data = module.as_deref().unwrap_or(data);
            stripped.section(&RawSection { id, data });
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    reject_if(exports, import?.name, "a module imports")?;
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    if let ComponentAlias::CoreInstanceExport { name, .. } = alias? {
                        reject_if(&used, name, "there are several uses of")?;
                        used.extend(exports.iter().filter(|export| *export == name).cloned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok(stripped.finish())
}

fn reject_if(names: &[String], name: &str, why: &str) -> Result<()> {
    if names.iter().any(|known| known == name) {
        bail!("{why} {name}");
    }
    Ok(())
}

fn strip_module(module: &[u8], exports: &[String]) -> Result<Vec<u8>> {
    let calls = Calls::of(module, exports)?;
    if !calls.any_left_out {
        return Ok(module.to_vec());
    }
    let needed = calls.reachable();
    let mut stripped = wasm_encoder::Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        match &payload {
            Payload::CodeSectionStart { range, .. } => {
                let code = code(module, range.clone(), &needed[calls.imported..])?;
                stripped.section(&code);
            }
            // Hints and debug information refer to positions in removed bodies.
            Payload::CustomSection(custom) if custom.name() != "name" => {}
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    let data = &module[range];
                    stripped.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(stripped.finish())
}

/// The code section, with empty bodies for functions that are not needed.
fn code(module: &[u8], range: std::ops::Range<usize>, needed: &[bool]) -> Result<CodeSection> {
    let offset = range.start;
    let bodies = CodeSectionReader::new(BinaryReader::new(&module[range], offset))?;
    let mut section = CodeSection::new();
    for (body, &needed) in bodies.into_iter().zip(needed) {
        let body = body?;
        if needed {
            section.raw(body.as_bytes());
        } else {
            let mut empty = Function::new([]);
            empty.instruction(&Instruction::Unreachable);
            empty.instruction(&Instruction::End);
            section.function(&empty);
        }
    }
    Ok(section)
}

/// References between the functions of a module, by index.
#[derive(Default)]
struct Calls {
    /// Number of imported functions, which have the first indices.
    imported: usize,
    /// Whether the module has any of the removed exports.
    any_left_out: bool,
    /// Functions that can be called from outside, or through a table.
    roots: Vec<u32>,
    /// For each function of the module, the functions that it references.
    references: Vec<Vec<u32>>,
}

impl Calls {
    fn of(module: &[u8], removed: &[String]) -> Result<Self> {
        let mut calls = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let function =
                            matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                        calls.imported += usize::from(function);
                    }
                }
                Payload::TableSection(tables) => {
                    for table in tables {
                        calls.table(&table?)?;
                    }
                }
                Payload::GlobalSection(globals) => {
                    for global in globals {
                        let Global { init_expr, .. } = global?;
                        calls.constant(&init_expr)?;
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        calls.export(&export?, removed);
                    }
                }
                Payload::ElementSection(elements) => {
                    for element in elements {
                        calls.element(element?)?;
                    }
                }
                Payload::StartSection { func, .. } => calls.roots.push(func),
                Payload::CodeSectionEntry(body) => {
                    let mut referenced = Vec::new();
                    collect_references(body.get_operators_reader()?, &mut referenced)?;
                    referenced.sort_unstable();
                    referenced.dedup();
                    calls.references.push(referenced);
                }
                _ => {}
            }
        }
        Ok(calls)
    }

    fn export(&mut self, export: &Export<'_>, removed: &[String]) {
        if !matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact) {
            return;
        }
        if removed.iter().any(|name| name == export.name) {
            self.any_left_out = true;
        } else {
            self.roots.push(export.index);
        }
    }

    fn table(&mut self, table: &Table<'_>) -> Result<()> {
        match &table.init {
            TableInit::RefNull => Ok(()),
            TableInit::Expr(expression) => self.constant(expression),
        }
    }

    fn element(&mut self, element: Element<'_>) -> Result<()> {
        match element.items {
            ElementItems::Functions(functions) => {
                for function in functions {
                    self.roots.push(function?);
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expression in expressions {
                    self.constant(&expression?)?;
                }
            }
        }
        Ok(())
    }

    fn constant(&mut self, expression: &ConstExpr<'_>) -> Result<()> {
        collect_references(expression.get_operators_reader(), &mut self.roots)
    }

    /// For each function, whether it is reachable.
    fn reachable(&self) -> Vec<bool> {
        let mut reached = vec![false; self.imported + self.references.len()];
        let mut open = self.roots.clone();
        while let Some(function) = open.pop() {
            let index = function as usize;
            match reached.get_mut(index) {
                Some(reached) if !*reached => *reached = true,
                _ => continue,
            }
            let own = index.checked_sub(self.imported);
            if let Some(referenced) = own.and_then(|own| self.references.get(own)) {
                open.extend(referenced);
            }
        }
        reached
    }
}

/// Adds the functions that some code references.
fn collect_references(code: OperatorsReader<'_>, functions: &mut Vec<u32>) -> Result<()> {
    for operator in code {
        match operator? {
            Operator::Call { function_index }
            | Operator::ReturnCall { function_index }
            | Operator::RefFunc { function_index } => functions.push(function_index),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        Alias, Component, ComponentAliasSection, ConstExpr, ElementSection, Elements, EntityType,
        ExportKind, ExportSection, FunctionSection, ImportSection, Module, ModuleSection, RefType,
        StartSection, TableSection, TableType, TypeSection,
    };

    use super::*;

    const EMPTY_BODY: &[u8] = &[0, 0, 0x0b];

    /// Functions by their index: 0 is imported; `setup` is 1 and calls 3; `decide` is 2 and
    /// calls 4, which calls 0; 5 is in a table; 6 is the start function, which references 7.
    fn module() -> Module {
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import("host", "look", EntityType::Function(0));
        let mut functions = FunctionSection::new();
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: 1,
            maximum: None,
            shared: false,
        });
        let mut exports = ExportSection::new();
        exports.export("setup", ExportKind::Func, 1);
        exports.export("decide", ExportKind::Func, 2);
        let start = StartSection { function_index: 6 };
        let mut elements = ElementSection::new();
        let offset = ConstExpr::i32_const(0);
        elements.active(None, &offset, Elements::Functions([5][..].into()));
        let mut code = CodeSection::new();
        let bodies = [
            Instruction::Call(3),
            Instruction::Call(4),
            Instruction::Nop,
            Instruction::Call(0),
            Instruction::Nop,
            Instruction::RefFunc(7),
            Instruction::Nop,
        ];
        for instruction in bodies {
            functions.function(0);
            let mut body = Function::new([]);
            body.instruction(&instruction);
            if matches!(instruction, Instruction::RefFunc(_)) {
                body.instruction(&Instruction::Drop);
            }
            body.instruction(&Instruction::End);
            code.function(&body);
        }
        let mut module = Module::new();
        module
            .section(&types)
            .section(&imports)
            .section(&functions)
            .section(&tables)
            .section(&exports)
            .section(&start)
            .section(&elements)
            .section(&code);
        module
    }

    fn component(aliases: &[&str]) -> Vec<u8> {
        let mut section = ComponentAliasSection::new();
        for name in aliases {
            section.alias(Alias::CoreInstanceExport {
                instance: 0,
                kind: ExportKind::Func,
                name,
            });
        }
        let mut component = Component::new();
        component.section(&ModuleSection(&module()));
        component.section(&section);
        component.finish()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// Indices of the functions whose body was removed.
    fn without_body(component: &[u8]) -> Vec<usize> {
        let mut bodies = Vec::new();
        for payload in Parser::new(0).parse_all(component) {
            if let Payload::CodeSectionEntry(body) = payload.expect("a component") {
                bodies.push(body.as_bytes());
            }
        }
        let indices = (1..).zip(bodies);
        let without_body = indices.filter(|(_, body)| *body == EMPTY_BODY);
        without_body.map(|(index, _)| index).collect()
    }

    #[test]
    fn r26_only_functions_that_only_setup_reaches_are_removed() {
        let original = component(&["setup", "decide"]);
        let stripped = strip_setup(&original, &names(&["setup"])).expect("stripped");
        assert_eq!(without_body(&original), [0; 0]);
        assert_eq!(without_body(&stripped), [1, 3]);
        let stripped = strip_setup(&original, &names(&["decide"])).expect("stripped");
        assert_eq!(without_body(&stripped), [2, 4]);
    }

    #[test]
    fn r26_a_component_without_setup_is_unchanged() {
        let original = component(&["decide"]);
        assert_eq!(
            strip_setup(&original, &names(&["other"])).expect("the same"),
            original
        );
    }

    #[test]
    fn r26_shared_exports_are_not_removed() {
        let twice = component(&["setup", "setup"]);
        assert!(strip_setup(&twice, &names(&["setup"])).is_err());
        let imported = component(&["look"]);
        assert!(strip_setup(&imported, &names(&["look"])).is_err());
    }

    #[test]
    fn r28_damaged_components_cause_no_panic() {
        let original = component(&["setup", "decide"]);
        let setup = names(&["setup"]);
        for length in 0..original.len() {
            let _either = strip_setup(&original[..length], &setup);
        }
        for place in 0..original.len() {
            for bit in 0..8 {
                let mut damaged = original.clone();
                damaged[place] ^= 1 << bit;
                let _either = strip_setup(&damaged, &setup);
            }
        }
    }
}
