// sign_and_verify.cpp - libtrotline from C++: signs a webhook, and verifies it as its receiver would.
//
//     c++ -std=c++17 sign_and_verify.cpp $(pkg-config --cflags --libs trotline) -o sign_and_verify
#include <trotline/trotline.h>

#include <array>
#include <iostream>
#include <memory>
#include <string_view>
#include <vector>

template <auto Free> struct Freer {
    template <class Handle> void operator()(Handle *handle) const { Free(handle); }
};
using Scheme = std::unique_ptr<trotline_scheme, Freer<trotline_scheme_free>>;
using Signer = std::unique_ptr<trotline_signer, Freer<trotline_signer_free>>;
using Verifier = std::unique_ptr<trotline_verifier, Freer<trotline_verifier_free>>;

static std::string_view view(trotline_slice slice)
{
    return {slice.at ? slice.at : "", slice.bytes};
}

static int fail(trotline_status status)
{
    std::cerr << "sign_and_verify: " << trotline_status_text(status) << '\n';
    return 1;
}

int main()
{
    trotline_scheme *opened = nullptr;
    if (auto status = trotline_scheme_open("standard", &opened); status != TROTLINE_OK)
        return fail(status);
    Scheme scheme(opened);

    std::array<char, TROTLINE_SECRET_BYTES> secret{};
    if (auto status = trotline_secret_generate(scheme.get(), secret.data(), secret.size());
        status != TROTLINE_OK)
        return fail(status);
    const char *secrets[] = {secret.data()};

    trotline_signer *made_signer = nullptr;
    trotline_verifier *made_verifier = nullptr;
    auto status = trotline_signer_new(scheme.get(), secrets, 1, &made_signer, nullptr);
    Signer signer(made_signer);
    if (status == TROTLINE_OK)
        status = trotline_verifier_new(scheme.get(), secrets, 1, &made_verifier, nullptr);
    Verifier verifier(made_verifier);

    trotline_webhook webhook{};
    webhook.id = "msg_1";
    webhook.type = "order.paid";
    webhook.data = trotline_slice_str(R"({"order":17})");
    if (status == TROTLINE_OK)
        status = trotline_sign(signer.get(), &webhook, 0, nullptr);
    if (status != TROTLINE_OK)
        return fail(status);

    std::vector<trotline_header> headers;
    for (std::size_t i = 0; i < trotline_signed_header_count(signer.get()); i++) {
        headers.push_back(trotline_signed_header(signer.get(), i));
        std::cout << trotline_signed_header_line(signer.get(), i) << '\n';
    }
    trotline_request request{};
    request.headers = headers.data();
    request.header_count = headers.size();
    request.body = trotline_signed_body(signer.get());
    std::cout << '\n' << view(request.body) << '\n';

    const auto verdict = trotline_verify(verifier.get(), &request, 0, nullptr);
    std::cout << trotline_verdict_name(verdict) << ' '
              << view(trotline_verifier_event_id(verifier.get(), &request)) << '\n';
    return verdict == TROTLINE_VERIFIED ? 0 : 1;
}
