// Package goredis tries the library itself against the server, since most identity products of the Go world use it:
// its handshake, its typed replies in both versions of the protocol, pipelines, transactions, scripts, pub/sub, blocking
// calls, and how it finds its way back after the server was killed.
package goredis
