// Package desec publishes through the API of deSEC (desec.io, or an installation of one's own).
//
// A record set is written by the bulk request, which is carried out as a whole or not at all. deSEC counts changes of a zone
// strictly, down to 300 a day; we keep to its numbers ourselves, and say so when they are used up.
package desec
