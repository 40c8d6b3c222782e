/* Inlining that the speed of a loop depends on: the compiler must see through the call to vectorize
   the loop, or to drop what constant arguments exclude. */
#ifndef CORE_INLINE_H
#define CORE_INLINE_H

#define ALWAYS_INLINE inline __attribute__((always_inline))

#endif
