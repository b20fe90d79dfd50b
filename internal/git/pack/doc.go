// Package pack reads and writes git's packs: it takes one in from a stream, finds objects in many, and makes one of
// many.
//
// Receive, Reader and Repack are the three doors. The package knows the formats (gitformat-pack(5), gitformat-loose(5))
// and not what a repository is for: the caller says which objects are needed, which packs may go and how full a disk
// may become. Packs and objects of any size are read in bounded memory. What is read is checked: bad bytes are an
// error, ErrCorrupt or ErrMissing.
//
// go-git lends the names of things (ids, kinds) and, as a Store, has what is in no pack.
package pack
