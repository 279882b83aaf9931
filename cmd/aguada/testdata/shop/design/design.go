// Package design stands for the design of a service.
package design

// Greeting ends up in the generated code.
const Greeting = "welcome"
