/*
 * This folder exists only to work around bugs in libmicrohttpd 0.9.75. Remove a file when its bug
 * is fixed in the oldest supported version.
 *
 *   - strict_parser.[ch]: The library accepts input that RFC 9112 forbids: bare LFs, NUL bytes,
 *     folded headers, and LFs in chunk extensions and trailers. A proxy in front of the server may
 *     then see different request boundaries than the server (request smuggling).
 *   - lingering_close.[ch]: The library closes a socket while the client is still sending. The
 *     kernel then sends a reset, and the client loses the response.
 *   - early_status_line.[ch]: The library does not poll a suspended connection, so it does not
 *     notice a reset while a response is computed. It also cannot send the first bytes of a
 *     response early, which is the only way to distinguish a client that has closed its connection
 *     from one that has closed only its sending half.
 *   - tls_handshake.[ch]: With epoll, the library spins during a TLS handshake until the client
 *     sends more data, which uses 100% of a CPU.
 *
 * Three more bugs are worked around where they occur: the library's connection limit can leave a
 * mutex locked (connection/connection_limits.h), MHD_quiesce_daemon races with its thread pool
 * (connection/listener.h), and with epoll it can miss a FIN (connection/connection_monitor.h).
 */
#ifndef SERVER_MHD_WORKAROUNDS_MHD_WORKAROUNDS_H
#define SERVER_MHD_WORKAROUNDS_MHD_WORKAROUNDS_H

#include "mhd_workarounds/early_status_line.h"
#include "mhd_workarounds/lingering_close.h"
#include "mhd_workarounds/strict_parser.h"
#include "mhd_workarounds/tls_handshake.h"

#endif
