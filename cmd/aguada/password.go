package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
)

// minPassword is how many characters a password has at least. There is no other
// rule of what it is made of (NIST SP 800-63B).
const minPassword = 8

// maxLine is how much of standard input may be a password, in bytes.
const maxLine = 4096

// passwordPrompt reads passwords.
type passwordPrompt struct {
	in  io.Reader
	out *terminal.Output
}

// ask asks for a password twice, at a terminal.
func (p *passwordPrompt) ask(name string) (string, error) {
	f, ok := p.in.(*os.File)
	if !ok || !terminal.Is(f) {
		return "", usageError{errors.New("standard input is not a terminal; give the password as one line of it with --password-stdin")}
	}
	first, err := p.hidden(f, "Password for "+name+": ")
	if err != nil {
		return "", err
	}
	if err := longEnough(first); err != nil {
		return "", err
	}
	second, err := p.hidden(f, "Once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ; nothing is changed")
	}
	return first, nil
}

// hidden reads one line without showing it. A signal ends the process, with the
// terminal as it was.
func (p *passwordPrompt) hidden(f *os.File, question string) (string, error) {
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	arrived, answered := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(arrived, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(arrived)
	defer close(answered)
	go func() {
		select {
		case s := <-arrived:
			_ = term.Restore(fd, before)
			p.out.Println("")
			code := exitFailed
			if n, ok := s.(syscall.Signal); ok {
				code = 128 + int(n)
			}
			os.Exit(code)
		case <-answered:
		}
	}()
	_, _ = p.out.Write([]byte(question))
	line, err := term.ReadPassword(fd)
	p.out.Println("")
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return string(line), nil
}

// line reads the one line that standard input is.
func (p *passwordPrompt) line(string) (string, error) {
	data, err := io.ReadAll(io.LimitReader(p.in, maxLine+1))
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if strings.ContainsAny(text, "\r\n") || len(data) > maxLine {
		return "", errors.New("read password: standard input is more than one line")
	}
	return text, longEnough(text)
}

func longEnough(password string) error {
	if n := utf8.RuneCountInString(password); n < minPassword {
		return fmt.Errorf("the password is too short: it needs at least %d characters", minPassword)
	}
	return nil
}
