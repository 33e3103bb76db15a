// The twin of http_server.c with net/http: says hello to every request. It prints its port, and ends when
// its standard input does.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

var hello = []byte("Hello, world!")

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(hello)
	})
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go http.Serve(listener, mux)
	io.Copy(io.Discard, os.Stdin)
}
