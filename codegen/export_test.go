package codegen

// GenerateTo is generate, whose output folder and warnings tests see.
var GenerateTo = generate

// WholeValue is wholeValue, which must be what package redact calls All.
const WholeValue = wholeValue
