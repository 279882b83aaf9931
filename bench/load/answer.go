package load

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// answer reads one HTTP/1.1 answer and returns its status. It reads what the
// layers send and no more, since http.ReadResponse takes as long as the
// fastest of them: the load must have time to spare.
func answer(r *bufio.Reader) (status int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, errors.New("it is not HTTP/1.1")
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, errors.New("it has no status")
	}
	length, chunked := -1, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		name, value, found := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		if len(name) == 0 {
			break
		}
		switch value := string(bytes.TrimSpace(value)); {
		case !found:
			return 0, errors.New("it has a line without a colon")
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(value); err != nil || length < 0 {
				return 0, errors.New("its length is not a number")
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = strings.EqualFold(value, "chunked")
		case bytes.EqualFold(name, []byte("Connection")) && strings.EqualFold(value, "close"):
			return 0, errors.New("it closes the connection")
		}
	}
	if chunked {
		return status, chunks(r)
	}
	if length < 0 {
		return 0, errors.New("it has no length")
	}
	_, err = r.Discard(length)
	return status, err
}

// chunks reads a body in chunks, to its end.
func chunks(r *bufio.Reader) error {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return errors.New("a chunk has no length")
		}
		if _, err := r.Discard(int(n) + len("\r\n")); err != nil || n == 0 {
			return err
		}
	}
}
