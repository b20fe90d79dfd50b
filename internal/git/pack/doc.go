// Package pack reads and writes git's packs: it takes them in from a stream and indexes them, finds and inflates
// objects in those of a git directory, reads small ones into memory, and makes one of many.
//
// It knows the formats (gitformat-pack(5), gitformat-loose(5)) and nothing of what a repository is for: which objects
// are needed, which packs may go and how full a disk may become is said by who calls. A pack of any size is taken in
// and an object of any size is read in bounded memory. What is read is checked: bad bytes are an error, ErrCorrupt or
// ErrMissing.
//
// go-git lends the names of things (ids, kinds) and, as a Store, has what is in no pack.
package pack
