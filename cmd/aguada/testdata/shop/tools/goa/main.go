// Command goa stands for Goa's generator: it writes a package production and a
// contract from the design.
package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

//go:embed contract.json
var contract string

var greeting = regexp.MustCompile(`Greeting = (".*")`)

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) < 3 || os.Args[1] != "gen" || os.Args[2] != "example.test/shop/design" {
		return fmt.Errorf("unexpected arguments %q", os.Args[1:])
	}
	source, err := os.ReadFile("design/design.go")
	if err != nil {
		return err
	}
	value := greeting.FindStringSubmatch(string(source))
	if value == nil {
		return fmt.Errorf("[design.go:5] greeting is missing")
	}
	out := "."
	if len(os.Args) == 5 {
		out = os.Args[4]
	}
	// hashdesign and generatorversion are commands of the test.
	sum, err := exec.Command("hashdesign", "design").Output()
	if err != nil {
		return err
	}
	version, err := exec.Command("generatorversion").Output()
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(contract, "SUM", strings.TrimSpace(string(sum)))
	text = strings.ReplaceAll(text, "VERSION", strings.TrimSpace(string(version)))
	dir := filepath.Join(out, "gen", "production")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	fmt.Println("aguada: warning: nothing guards the till")
	for _, f := range [][2]string{
		{"contract.json", text},
		{"production.go", "package production\n\nconst Greeting = " + value[1] + "\n"},
	} {
		file := filepath.Join(dir, f[0])
		if err := os.WriteFile(file, []byte(f[1]), 0o644); err != nil {
			return err
		}
		fmt.Println(file)
	}
	return nil
}
