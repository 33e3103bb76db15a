/* Codes and sentences for what libcurl says. */
#ifndef RN_CURL_CODES_H
#define RN_CURL_CODES_H

#include "client.h"

/*
 * The code for a transfer's CURLcode, 0 for CURLE_OK. To be asked right after its end, where the
 * handle still knows its circumstances; watch_err is why the engine could not watch a socket, or 0.
 */
int code_of_transfer(CURL *easy, CURLcode code, int watch_err);

/*
 * What a call returns for a transfer that has ended, with the sentence left for rn_error_detail;
 * message is what libcurl has written into an error buffer, or "".
 */
int report_transfer(const struct transfer *t, const char *message);

/* So that no sentence of an earlier failure seems to be about the call that begins. */
void forget_sentence(void);

#endif
