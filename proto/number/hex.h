/* Hexadecimal digits. */
#ifndef PROTO_NUMBER_HEX_H
#define PROTO_NUMBER_HEX_H

/* Returns the value of a hexadecimal digit in either case; -1 if `c` is not one. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

#endif
