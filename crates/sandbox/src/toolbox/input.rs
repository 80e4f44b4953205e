//! A tool's input, field by field. A missing or mistyped field is the model's mistake and is told to it.

use serde_json::{Map, Value};

use super::error::ToolError;

pub(super) struct Input<'a> {
    tool: &'a str,
    fields: &'a Map<String, Value>,
}

impl<'a> Input<'a> {
    pub(super) fn new(tool: &'a str, fields: &'a Map<String, Value>) -> Self {
        Self { tool, fields }
    }

    pub(super) fn required_text(&self, name: &str) -> Result<&'a str, ToolError> {
        self.text(name)?.ok_or_else(|| self.error(&format!("{name} is required")))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ToolError> {
        match self.given(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(&format!("{name} must be a string"))),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, ToolError> {
        match self.given(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.error(&format!("{name} must be a boolean"))),
        }
    }

    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, ToolError> {
        let Some(value) = self.given(name) else { return Ok(None) };
        match value.as_u64() {
            Some(count) => Ok(Some(count)),
            None => Err(self.error(&format!("{name} must be a non-negative integer"))),
        }
    }

    pub(super) fn integers(&self, name: &str) -> Result<Option<Vec<i64>>, ToolError> {
        let Some(value) = self.given(name) else { return Ok(None) };
        let integers = value.as_array().and_then(|items| items.iter().map(Value::as_i64).collect());
        integers.map(Some).ok_or_else(|| self.error(&format!("{name} must be a list of integers")))
    }

    fn given(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn error(&self, text: &str) -> ToolError {
        ToolError::new(format!("{}: {text}", self.tool))
    }
}
