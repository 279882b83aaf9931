package observability

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
)

// levelOf returns the level of a line in lower case, "" where it says none.
func levelOf(l target.Line) string {
	fields := l.Fields()
	for _, name := range []string{"level", "severity", "lvl"} {
		if text, ok := fields[name].(string); ok {
			return strings.ToLower(text)
		}
	}
	return ""
}

// spoken makes a call of a process of its own and ends it, so that all it had to
// say is in its log; before is done first, if there is anything.
func spoken(ctx context.Context, t *probe.Try, env map[string]string, before *lab.Request) ([]target.Line, error) {
	in, err := t.Start(ctx, env)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	c := t.NewClient(in)
	if before != nil {
		c.Do(ctx, *before)
	}
	if m := t.Readable(); m != nil {
		r, err := t.Valid(ctx, c, m)
		if err != nil {
			return nil, err
		}
		c.Do(ctx, t.Sign(r, m, lab.Good))
	}
	in.Stop(15 * time.Second)
	return in.Log.Since(0), nil
}

var level = probe.Probe{
	Probe: describe("log.level", "Does LOG_LEVEL rule what is logged?",
		"A level that nobody reads leaves operators with the logs that somebody chose once: too many to pay for, or too few at night.",
		"Read LOG_LEVEL, refuse a value that is none, and give it to the logger.",
		"The Twelve-Factor App: Config", "OpenTelemetry logs: severity"),
	Needs: lab.Process,
	Omit: func(l *lab.Lab) string {
		if _, named := l.Recipe.Env["LOG_LEVEL"]; !named && !l.Service.Contracted {
			return "nobody has said that the service reads LOG_LEVEL (env of prove.yaml)"
		}
		return ""
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		lines, err := spoken(ctx, t, map[string]string{"LOG_LEVEL": "error"}, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		for _, l := range lines {
			if said := levelOf(l); strings.HasPrefix(said, "info") || strings.HasPrefix(said, "debug") {
				return probe.Fail([]finding.Evidence{{Label: "log line", Text: l.Text}}, "with LOG_LEVEL=error there is a line of the level %s", said)
			}
		}
		return probe.Pass("with LOG_LEVEL=error: %d lines, none of a lower level", len(lines))
	},
}

var debugging = probe.Probe{
	Probe: describe("log.debug", "Does the switch for debug lines, where one is promised, bring any?",
		"A switch is reached for when something is wrong already; one that does nothing costs the night.",
		"Put what reads the switch before what writes the log, and test that lines of level debug come.",
		"Clue: debug"),
	Needs: lab.Process,
	Omit: func(l *lab.Lab) string {
		if l.Debug == "" {
			return "nobody has said by which path debug lines are switched on: name it in prove.yaml (debug)"
		}
		return ""
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		lines, err := spoken(ctx, t, nil, &lab.Request{Verb: http.MethodGet, Path: t.Debug})
		if err != nil {
			return probe.Skip("%v", err)
		}
		for _, l := range lines {
			if strings.HasPrefix(levelOf(l), "debug") {
				return probe.Pass("a line of level debug")
			}
		}
		return probe.Fail(nil, "after GET %s and a call, none of %d lines is of level debug", t.Debug, len(lines))
	},
}
