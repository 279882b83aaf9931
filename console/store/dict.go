package store

import (
	"bytes"
	"hash/maphash"
)

var seed = maphash.MakeSeed()

// dict numbers the strings of a segment, each held once. It only grows, and
// holds no pointers but its slices, so that the garbage collector does not walk
// through what is stored. Id 0 is the empty string.
type dict struct {
	text  []byte
	ends  []uint32 // of each string in text
	table []uint32 // ids, by hash; dropped when the segment is sealed
}

func newDict() dict { return dict{ends: make([]uint32, 1, 256), table: make([]uint32, 512)} }

// get returns the string of an id; it must not be changed.
func (d *dict) get(id uint32) []byte {
	if id == 0 {
		return nil
	}
	return d.text[d.ends[id-1]:d.ends[id]:d.ends[id]]
}

// id returns the number of b, which it adds if it is new.
func (d *dict) id(b []byte) uint32 {
	if len(b) == 0 {
		return 0
	}
	slot := d.slot(b)
	if id := d.table[slot]; id != 0 {
		return id
	}
	id := uint32(len(d.ends))
	d.text = append(d.text, b...)
	d.ends = append(d.ends, uint32(len(d.text)))
	d.table[slot] = id
	if 2*len(d.ends) > len(d.table) {
		d.rehash(2 * len(d.table))
	}
	return id
}

// slot returns where in the table b is, or belongs.
func (d *dict) slot(b []byte) uint64 {
	mask := uint64(len(d.table) - 1)
	for i := maphash.Bytes(seed, b) & mask; ; i = (i + 1) & mask {
		if id := d.table[i]; id == 0 || bytes.Equal(d.get(id), b) {
			return i
		}
	}
}

func (d *dict) rehash(size int) {
	d.table = make([]uint32, size)
	for id := 1; id < len(d.ends); id++ {
		d.table[d.slot(d.get(uint32(id)))] = uint32(id)
	}
}

// find returns the id of b and whether it is there. Without its table, which a
// sealed segment lacks, it looks at every string.
func (d *dict) find(b []byte) (uint32, bool) {
	if len(b) == 0 {
		return 0, true
	}
	for id := 1; id < len(d.ends); id++ {
		if d.ends[id]-d.ends[id-1] == uint32(len(b)) && bytes.Equal(d.get(uint32(id)), b) {
			return uint32(id), true
		}
	}
	return 0, false
}

// containing returns which strings contain text, in any case of its letters.
// Text must be in lower case.
func (d *dict) containing(text []byte) []bool {
	found := make([]bool, len(d.ends))
	for id := 1; id < len(d.ends); id++ {
		found[id] = containsFold(d.get(uint32(id)), text)
	}
	return found
}

// containsFold reports whether b contains text, which is in lower case. Letters
// beyond ASCII are compared as they are.
func containsFold(b, text []byte) bool {
	if len(text) == 0 {
		return true
	}
	first := text[0]
	for i := 0; i+len(text) <= len(b); i++ {
		if lower(b[i]) != first {
			continue
		}
		j := 1
		for j < len(text) && lower(b[i+j]) == text[j] {
			j++
		}
		if j == len(text) {
			return true
		}
	}
	return false
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func (d *dict) size() int { return cap(d.text) + 4*cap(d.ends) + 4*cap(d.table) }
