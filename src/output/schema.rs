//! The JSON Schemas in `docs/schema`, generated from the wire types, so that they cannot say anything else.
//!
//! `SNAPSHOTS=overwrite cargo test --lib output::schema` writes them anew.

use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};
use snapbox::{Data, assert_data_eq};

use super::{config, evidence, json as documents, plan, report, simulate, verify};

/// A schema with what it is called.
fn schema_of<T: JsonSchema>(title: &str, description: &str, version: Option<&str>) -> Value {
    let schema: Schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    schema["title"] = title.into();
    schema["description"] = description.into();
    if let Some(version) = version {
        schema["properties"]["schema"] = json!({"const": version, "description": "The schema, and its version."});
    }
    schema
}

/// One of two lines.
fn either(mut first: Value, mut second: Value, title: &str, description: &str) -> Value {
    let mut definitions = serde_json::Map::new();
    for schema in [&mut first, &mut second] {
        let fields = schema.as_object_mut().unwrap();
        fields.remove("$schema");
        if let Some(Value::Object(own)) = fields.remove("$defs") {
            definitions.extend(own);
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "description": description,
        "oneOf": [first, second],
        "$defs": definitions,
    })
}

#[test]
fn published_schemas_are_those_of_the_types() {
    let described = |command: &str| format!("What `deputize {command}` prints.");
    let line = |command: &str| format!("A line of what `deputize {command}` prints.");
    let check = schema_of::<documents::CheckShape<'static>>(
        "deputize.check/v1",
        &described("check --output json"),
        Some("deputize.check/v1"),
    );
    let grants = schema_of::<documents::GrantsShape<'static>>(
        "deputize.grants/v1",
        &described("grants --output json"),
        Some("deputize.grants/v1"),
    );
    let rules = schema_of::<documents::RulesShape>(
        "deputize.rules/v1",
        &described("rules --output json"),
        Some("deputize.rules/v1"),
    );
    let settings = schema_of::<config::ConfigShape<'static>>(
        "deputize.config/v1",
        &described("config --output json"),
        Some("deputize.config/v1"),
    );
    let contexts = schema_of::<documents::ContextsShape<'static, Value>>(
        "deputize.contexts/v1",
        "What a command prints for several clusters: its result for each of them.",
        Some("deputize.contexts/v1"),
    );
    let plan = schema_of::<plan::json::PlanShape<'static>>(
        "deputize.plan/v2",
        &described("migrate --output json"),
        Some("deputize.plan/v2"),
    );
    let verify = schema_of::<verify::VerifyShape<'static>>(
        "deputize.verify/v2",
        &described("verify --output json"),
        Some("deputize.verify/v2"),
    );
    let report = schema_of::<report::shape::ReportShape<'static>>(
        "deputize.report/v1",
        &described("report --output json"),
        Some("deputize.report/v1"),
    );
    let version = Some("deputize.evidence/v1");
    let mut aside =
        schema_of::<evidence::AsideLine<'static>>("other", "What was seen that is no whole request.", version);
    // It has one of its optional fields. Without that, a request would be one of these, too.
    aside["oneOf"] = json!([{"required": ["review"]}, {"required": ["glimpse"]}]);
    let evidence = either(
        schema_of::<evidence::EvidenceLine<'static>>("request", "An impersonated request.", version),
        aside,
        "deputize.evidence/v1",
        &line("evidence"),
    );
    let simulate = either(
        schema_of::<simulate::AnswerShape>("answer", "What the API server would answer to a request.", None),
        schema_of::<simulate::ErrorShape<'static>>("error", "Why a line of the input has no answer.", None),
        "deputize simulate",
        &line("simulate --requests FILE"),
    );
    for (name, schema) in [
        ("check", check),
        ("contexts", contexts),
        ("evidence", evidence),
        ("grants", grants),
        ("plan", plan),
        ("report", report),
        ("rules", rules),
        ("settings", settings),
        ("simulate", simulate),
        ("verify", verify),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schema/{name}.json"));
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        assert_data_eq!(text, Data::read_from(&path, None).raw());
    }
}
