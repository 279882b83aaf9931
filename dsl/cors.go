package dsl

import (
	"slices"
	"strconv"
	"strings"

	"github.com/aguada-dev/aguada/policy"
)

// CORSOrigins lets web pages of other origins call a method and read its
// answers. Preflights are answered for every route of the method, with the
// headers that the design reads; answers, errors of the chassis included, can
// be read by these pages and show them the headers that the design writes.
//
// CORSOrigins must appear in an API, Service or Method expression; the nearest
// wins. Without any, browsers keep pages of other origins from reading answers.
// The environment may replace all origins of a design (CORS_ORIGINS).
//
// CORSOrigins accepts one or more origins, each as a browser sends it: scheme,
// host and, if it is not the scheme's own, port. There are no patterns. The
// single origin "*" stands for any; it is refused where a method takes a
// credential that browsers add by themselves (Basic, a cookie), and together
// with [CORSCredentials].
//
// Example:
//
//	var _ = API("shop", func() {
//	    CORSOrigins("https://shop.example", "https://admin.shop.example:8443")
//	})
//	var _ = Service("catalogue", func() {
//	    CORSOrigins("*") // for everybody to read
//	})
func CORSOrigins(origins ...string) {
	quoted := make([]string, len(origins))
	for i, o := range origins {
		quoted[i] = strconv.Quote(o)
	}
	c := newCall("CORSOrigins(" + strings.Join(quoted, ", ") + ")")
	p := c.policy("CORSOrigins")
	if p == nil {
		return
	}
	if len(origins) == 0 {
		c.refuse(`name at least one origin, such as CORSOrigins("https://shop.example"); NoCORS() switches inherited ones off`)
		return
	}
	ok := true
	refuse := func(why string) {
		ok = false
		c.refuse(why)
	}
	for i, o := range origins {
		if slices.Contains(origins[:i], o) {
			refuse(quoted[i] + " is named twice; name it once")
		} else if o == policy.AnyOrigin {
			if len(origins) > 1 {
				refuse(`"*" stands for any origin: leave the others out, or "*"`)
			}
		} else if err := policy.CheckOrigin(o); err != nil {
			refuse(err.Error())
		}
	}
	if ok {
		set(c, &p.CORSOrigins, slices.Clone(origins))
	}
}

// CORSCredentials lets the pages of [CORSOrigins] use what a browser adds to
// requests by itself: cookies, a remembered user name and password, client
// certificates. Pages that send a token or a key of their own do not need it.
// Without it a method that takes Basic or a cookie refuses the unsafe requests
// of these pages too.
//
// CORSCredentials must appear in an API, Service or Method expression that has
// a CORSOrigins, for whose origins alone it holds.
//
// CORSCredentials takes no argument.
//
// Example:
//
//	var _ = Service("accounts", func() {
//	    CORSOrigins("https://shop.example")
//	    CORSCredentials()
//	})
func CORSCredentials() {
	c := newCall("CORSCredentials()")
	if p := c.policy("CORSCredentials"); p != nil {
		set(c, &p.CORSCredentials, true)
	}
}

// NoCORS switches inherited [CORSOrigins] off.
//
// NoCORS must appear in a Service or Method expression.
//
// NoCORS takes no argument.
//
// Example:
//
//	var _ = Service("internal", func() {
//	    NoCORS()
//	})
func NoCORS() {
	c := newCall("NoCORS()")
	if p := c.inherited("NoCORS", "CORSOrigins"); p != nil {
		set(c, &p.CORSOrigins, nil)
	}
}
