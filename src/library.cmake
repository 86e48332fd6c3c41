# The C library, shared and static, of the same objects as the server: lib/, and what it needs of
# wire/ and base/. Only what include/trotline declares is visible outside.
#
# In the shared one a version script sees to that. The static one is linked into a single object
# first, whose hidden names are made local: a program may have a buf_init() of its own. Functions
# have sections of their own, so that both leave out what is not reached; what only that asked for
# is stripped, and with it, as in distributions, debug information of the static one.
#
# -fPIC stands here, as -fPIE of hardened builds comes behind that of CMake's property. With hidden
# names the code is the same as with -fPIE, so the server runs with these objects, too.
trotline_layer(lib USES wire)
target_include_directories(lib PUBLIC ${CMAKE_SOURCE_DIR}/include)
foreach(layer IN ITEMS base wire lib)
    set_target_properties(${layer} PROPERTIES C_VISIBILITY_PRESET hidden)
    target_compile_options(${layer} PRIVATE -fPIC -ffunction-sections -fdata-sections)
endforeach()

# libFuzzer's runtime is in its programs only, so nothing else links there.
if(TROTLINE_FUZZ)
    return()
endif()

set(map ${CMAKE_CURRENT_SOURCE_DIR}/lib/trotline.map)
add_library(trotline_shared SHARED $<TARGET_OBJECTS:lib>)
target_link_libraries(trotline_shared PRIVATE wire)
target_link_options(trotline_shared PRIVATE -Wl,--version-script=${map} -Wl,--gc-sections -Wl,--as-needed)
set_target_properties(trotline_shared PROPERTIES OUTPUT_NAME trotline LINK_DEPENDS ${map}
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

set(archive ${CMAKE_CURRENT_BINARY_DIR}/libtrotline.a)
set(object ${CMAKE_CURRENT_BINARY_DIR}/libtrotline.o)
add_custom_command(
    OUTPUT ${archive}
    COMMAND ${CMAKE_LINKER} -r --gc-sections --gc-keep-exported -o ${object}
            --whole-archive $<TARGET_FILE:lib> --no-whole-archive $<TARGET_FILE:wire> $<TARGET_FILE:base>
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden --strip-unneeded ${object}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${archive}
    COMMAND ${CMAKE_AR} rcs ${archive} ${object}
    DEPENDS lib wire base
    COMMENT "Linking libtrotline.a"
    VERBATIM)
add_custom_target(trotline_static ALL DEPENDS ${archive})

# The .pc file finds its prefix from where it lies, so that what was installed can be moved.
file(RELATIVE_PATH TROTLINE_PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(lib/trotline.pc.in trotline.pc @ONLY)

install(TARGETS trotline_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(FILES ${archive} DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/trotline.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/trotline
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT library FILES_MATCHING PATTERN "*.h")
