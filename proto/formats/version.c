#include "formats/version.h"
#include "loss.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

void version_print(FILE *out, const char *program, const char *libraries)
{
    fprintf(out, "%s " LOSS_VERSION "\nbuilt with " COMPILER ", OpenMP %d, %s\ninstruction sets:",
            program, _OPENMP, libraries);
    for (size_t i = 0; loss_isa_at(i); i++)
        fprintf(out, "%s %s", i > 0 ? "," : "", loss_isa_at(i));
    fprintf(out, "; in use: %s\n", loss_isa());
}
