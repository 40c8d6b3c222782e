/* Loads the module with the functions of MPI, if a launcher has started several ranks. */
#ifndef LOSSCTL_RANKS_MODULE_LOAD_H
#define LOSSCTL_RANKS_MODULE_LOAD_H

#include "cli/fail.h"
#include "mpi/mpi_module.h"
#include "ranks/launcher.h"

/* Loads the module for the implementation of a launcher: from the folder of this program, or from
   ../lib/lossd. Returns EXIT_USAGE if there is none; one rank on each machine says so. */
enum exit_code module_load(const struct launcher *launcher, const struct mpi_module **module);
/* Reports that the launcher has started several ranks that are not connected. */
enum exit_code module_fail_apart(const struct launcher *launcher);

#endif
