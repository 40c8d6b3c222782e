// Validates the OpenAPI document of a server: node validate.mjs http://127.0.0.1:8080
import {Validator} from '@seriousme/openapi-schema-validator';

const url = process.argv[2] + '/openapi.json';
const validator = new Validator();
const {valid, errors} = await validator.validate(await (await fetch(url)).json());
if (!valid) {
    console.log(`${url} is no OpenAPI document:`, JSON.stringify(errors, null, 1));
    process.exit(1);
}
console.log('valid', validator.version);
