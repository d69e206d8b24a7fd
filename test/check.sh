#!/bin/sh
# Checks the types of redis.ts without the line by which the projects that it is copied to skip that. Checks it as .ts
# and as .mts, under the strictest settings, outside this project: a copied file has no tsconfig.json of ours.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in redis.ts redis.mts; do sed 's,^// @ts-nocheck$,//,' "$root/redis.ts" >"$folder/$name"; done
echo '{ "type": "module" }' >"$folder/package.json"
cd "$folder"
"$root/node_modules/.bin/tsc" --noEmit --strict --noUncheckedIndexedAccess --exactOptionalPropertyTypes \
  --noUnusedLocals --noUnusedParameters --noImplicitReturns --noFallthroughCasesInSwitch \
  --noPropertyAccessFromIndexSignature --noImplicitOverride --isolatedModules --verbatimModuleSyntax \
  --erasableSyntaxOnly --allowImportingTsExtensions --target es2022 --lib es2023 --module nodenext \
  --types node --typeRoots "$root/node_modules/@types" redis.ts redis.mts
