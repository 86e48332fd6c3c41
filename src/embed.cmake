# Files into the binary, without tools beside CMake.
#
#   trotline_embed(<output.c> <symbol> files...)
#
# makes a rule that writes <output.c> (relative to the present binary folder) whenever one of the
# files changes; see base/embedded.h for what is in it. Add the output to a target's sources in the
# same folder. The files become arrays of numbers: a string literal may be no longer than 65,535
# characters in C11, and would need escapes.
#
# Run as a script (cmake -P embed.cmake <output.c> <symbol> files...), this file is the generator.

if(NOT CMAKE_SCRIPT_MODE_FILE)
    set(TROTLINE_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE} CACHE INTERNAL "")
    function(trotline_embed output symbol)
        set(files "")
        foreach(file IN LISTS ARGN)
            get_filename_component(file ${file} ABSOLUTE)
            list(APPEND files ${file})
        endforeach()
        add_custom_command(
            OUTPUT ${output}
            COMMAND ${CMAKE_COMMAND} -P ${TROTLINE_EMBED_SCRIPT} ${output} ${symbol} ${files}
            DEPENDS ${files} ${TROTLINE_EMBED_SCRIPT}
            WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}
            COMMENT "Embedding ${symbol}"
            VERBATIM)
    endfunction()
    return()
endif()

# CMAKE_ARGV0 to 2 are cmake, -P and this file.
set(output ${CMAKE_ARGV3})
set(symbol ${CMAKE_ARGV4})
math(EXPR last "${CMAKE_ARGC} - 1")
set(arrays "")
set(table "")
set(count 0)
if(last GREATER_EQUAL 5)
    foreach(index RANGE 5 ${last})
        set(file ${CMAKE_ARGV${index}})
        get_filename_component(name ${file} NAME)
        file(READ ${file} bytes HEX)
        string(LENGTH "${bytes}" digits)
        math(EXPR len "${digits} / 2")
        string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
        string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
        string(APPEND arrays "static const unsigned char file_${count}[] = {\n${bytes}0x00};\n\n")
        string(APPEND table "    {\"${name}\", (const char *)file_${count}, ${len}},\n")
        math(EXPR count "${count} + 1")
    endforeach()
else()
    set(table "    {0, 0, 0},\n") # C has no empty arrays
endif()
file(WRITE ${output}
"/* Made by embed.cmake; do not edit. */
#include \"base/embedded.h\"

extern const struct embedded_file ${symbol}[];
extern const size_t ${symbol}_count;

${arrays}const struct embedded_file ${symbol}[] = {
${table}};
const size_t ${symbol}_count = ${count};
")
