// Package browsertests holds the tests that need a browser: they start programs
// of this repository as a user does, and click. Without Chromium they are
// skipped.
package browsertests
